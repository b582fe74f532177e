package reach

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// probe finds out whether an idle connection can take another request.
type probe struct {
	conn net.Conn
	raw  syscall.RawConn // nil when conn is no socket
	read func(fd uintptr) (done bool)
	err  error // what read got
}

func newProbe(conn net.Conn) *probe {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	p := &probe{conn: conn}
	if socket, ok := conn.(syscall.Conn); ok {
		// Without it, conn is asked as if it were no socket.
		p.raw, _ = socket.SyscallConn()
	}
	// The descriptor does not block: that there is nothing to read is an error.
	p.read = func(fd uintptr) bool {
		var b [1]byte
		_, p.err = syscall.Read(int(fd), b[:])
		return true
	}
	return p
}

// alive reports whether the peer has neither hung up nor said anything, which it
// has no reason to, and sets the connection's deadline.
func (p *probe) alive(deadline time.Time) bool {
	if p.raw == nil {
		return p.quiet() && p.conn.SetDeadline(deadline) == nil
	}
	// With an old one that has passed, nothing would be read.
	return p.conn.SetDeadline(deadline) == nil && p.raw.Read(p.read) == nil && errors.Is(p.err, syscall.EAGAIN)
}

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// quiet tells of what is no socket whether there is nothing to read.
func (p *probe) quiet() bool {
	if p.conn.SetReadDeadline(aLongTimeAgo) != nil {
		return false
	}
	_, err := p.conn.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}
