// Package postgrestest gives tests PostgreSQL servers of their own, as
// net/http/httptest gives them HTTP servers: started in a temporary directory,
// on a port of their own, and gone with the test. The machine's own cluster is
// never touched and need not run.
//
// A server takes about 0.6 s to start and a database 15 ms in memory (on a disk
// 120 ms and more), so a package's tests share one server and have a database
// each, empty or as a [Template] has filled it:
//
//	url := postgrestest.Shared(t).Database(t)
//
// Servers are in /dev/shm, where that has room and TMPDIR is not set.
//
// Tests that stop, kill or configure a server start their own with [Start].
package postgrestest
