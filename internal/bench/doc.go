// Package bench measures, on the machine it runs on, what the gateway costs
// beside a bare relay: the same load, the same sink, one after the other, each
// as a process of its own. A relay to no destination reads and answers; the
// gateway then has an event hook that no event matches.
//
// A third side may join them: the gateway on a store that holds millions of
// events already, or that prunes as much as comes in. What such a store does
// without a load is compared with a store that holds little: how long a start
// takes, how long a page of a list, and what an event takes on disk.
//
// It owns the load generator, the sink, the relay, what stores are filled with,
// and the arithmetic; the command line and signals belong to cmd/grapnel. The
// gateway is started as the real binary and spoken to over HTTP, so what is
// measured is what people run; only to fill a store, and to count what pruning
// has left, is a store opened in this process, while no gateway runs.
//
// What the figures mean:
//
//   - acknowledged/s: events answered 200, divided by the time from the first
//     request of the phase to the last 200.
//   - delivered/s: events that reached all their destinations, each counted once,
//     divided by the time from the first request of the phase to the last first
//     arrival; deliveries/s counts each destination. The load stops after the
//     phase's duration; the sink goes on until every acknowledged event is there,
//     so a queue that builds up is paid for.
//   - ack latency: from just before the request is written to the whole answer
//     being read. The load is a closed loop: every connection has one request
//     under way.
//   - event-to-delivery latency: from just before the request is written to the
//     sink having read the whole of the first delivery that holds the event, for
//     each destination.
//   - CPU: user and system time of the process under test alone, as its operating
//     system counts it, from the first request of the phase until the process has
//     come to rest after the last delivery; divided by acknowledged events, or by
//     deliveries. That of a PostgreSQL server that a gateway works with is included
//     if it can be seen, and shown apart.
//   - peak memory: the largest resident set of that process, start and warm-up included.
//   - lost: deliveries of events answered 200 that were not at the sink when the
//     drain was given up.
//   - repeated: arrivals of an event after its first, at one destination.
//   - disk per event: by how much the store's files are larger after the gateway
//     has ended than before it began, divided by acknowledged events.
//   - a page: calls until so many items were read or the list ended.
//
// A warm-up of the same load, drained to the last event, goes before each load.
// It is left out of rates, latencies and CPU, but not of the counts of events.
package bench
