//go:build !linux

package hsm

import (
	"errors"
	"net"
)

// PeerUser answers that this system does not tell; hardware keys need Linux.
func PeerUser(*net.UnixConn) (uid int, err error) {
	return 0, errors.New("asking who is at the other end of a socket: hardware keys need Linux")
}
