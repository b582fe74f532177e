package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
)

// sink is all destinations: an HTTP/1.1 server that answers every request with
// an empty 200 and accounts for the events in it. It is written by hand because
// it shares the machine with what is measured: net/http's server takes twice the
// CPU for the same.
type sink struct {
	address  string
	listener net.Listener
	accept   func(destination int, body []byte)
	ended    sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

var sinkAnswer = []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

// startSink listens on a free port of 127.0.0.1; accept is called for every
// request's body, before it is answered, from many goroutines. Each path that is
// a number, "/0" for the first, is a destination of its own.
func startSink(ctx context.Context, accept func(destination int, body []byte)) (*sink, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the sink cannot listen: %w", err)
	}
	s := &sink{address: listener.Addr().String(), listener: listener, accept: accept, open: make(map[net.Conn]struct{})}
	s.ended.Go(s.run)
	return s, nil
}

func (s *sink) run() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			conn.Close()
			return
		}
		s.open[conn] = struct{}{}
		s.mu.Unlock()
		s.ended.Go(func() { s.serve(conn) })
	}
}

// serve ends with the connection: whoever sends what is no request is cut off,
// and counts it as a failed attempt.
func (s *sink) serve(conn net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.open, conn)
		s.mu.Unlock()
		conn.Close()
	}()
	reader := bufio.NewReaderSize(conn, maxHead)
	buffer := make([]byte, 0, 4096)
	for {
		destination, body, err := readRequest(reader, buffer)
		if err != nil {
			return
		}
		s.accept(destination, body)
		if _, err := conn.Write(sinkAnswer); err != nil {
			return
		}
		buffer = body
	}
}

// urls are those of the first n destinations.
func (s *sink) urls(n int) []string {
	urls := make([]string, n)
	for i := range urls {
		urls[i] = "http://" + s.address + "/" + strconv.Itoa(i)
	}
	return urls
}

// stop closes every connection and returns when no accept is running.
func (s *sink) stop() {
	s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for conn := range s.open {
		conn.Close()
	}
	s.mu.Unlock()
	s.ended.Wait()
}
