// Package postgres keeps a store in a PostgreSQL database, for any number of
// gateways at once. It needs PostgreSQL 15 or later. Everything is in the schema
// grapnel of the database.
//
// The shape is that of package sqlite: events lie in blocks, compressed together,
// and one row says what a block owes to one hook, a bit per event. What differs
// comes from there being many processes and much history:
//
//   - Every operation of the hot path is one call of one function in the database
//     (schema/*.sql), so one round trip and one transaction that no client can
//     hold open: a process that is paused, or cut off, holds no lock.
//   - The number of a block begins with its day by the database's clock. What is
//     history (blocks, settled, ended, filter_errors) is never updated and has a
//     partition for every day, which retention drops whole. What is open lies in
//     small tables beside it: work, what was never attempted, and retries.
//   - A search goes by postings: what is in which blocks, made beside intake by one
//     of the processes of every 64 blocks that nothing may be committed to any
//     more (digests). Replays amend them, retention leaves them too large.
//   - A lease is in the row it is of: who has it, until when by the database's
//     clock, and a number that nobody else ever has; the Epoch of a claim is made
//     of that number and the slot. A row of work is leased whole or not at all, so
//     it is split when somebody takes a part.
//   - Numbers are drawn before a commit ends, so a later one may be seen first. A
//     commit under way holds a lock that says how far a listing may go; see
//     number_blocks and horizon in schema/1-commit.sql.
//   - The registry (sources, hooks, holds) has a counter of its changes. Who
//     changes something looks, decides, and writes if the counter is still what it
//     was. Commits check the hooks' revision and keep such a write waiting, and it
//     them, for one commit at most.
//   - Counters have a row for each of the transactions that may run at once, and
//     are summed up when they are read.
//   - Processes know of each other by the rows that they beat into, and hear of
//     changes by NOTIFY, which only spares waiting.
//
// A call whose end is not known, as its connection broke, may have been kept: the
// events of such a commit are duplicates when they come again, and leases that
// nobody knows of are given back at the next Beat.
package postgres
