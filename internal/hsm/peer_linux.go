package hsm

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// PeerUser answers the user at the other end of a connection, as the kernel knows it
// since the connection was made (SO_PEERCRED, unix(7)).
func PeerUser(c *net.UnixConn) (uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("asking who is at the other end of a socket: %w", err)
	}
	var credentials *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		credentials, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return 0, fmt.Errorf("asking who is at the other end of a socket: %w", err)
	}
	return int(credentials.Uid), nil
}
