package reach

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// alive reports whether an idle connection can take another request: its peer
// has neither hung up nor said anything, which it has no reason to.
func alive(conn net.Conn) bool {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return quiet(conn)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var b [1]byte
	var read error
	// The descriptor does not block: that there is nothing to read is an error.
	err = raw.Read(func(fd uintptr) bool {
		_, read = syscall.Read(int(fd), b[:])
		return true
	})
	return err == nil && errors.Is(read, syscall.EAGAIN)
}

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// quiet is alive for what is no socket.
func quiet(conn net.Conn) bool {
	if conn.SetReadDeadline(aLongTimeAgo) != nil {
		return false
	}
	_, err := conn.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}
