//go:build unix

package link

import (
	"errors"
	"syscall"
)

// temporary tells whether an error of a udp socket says something of a datagram only.
func temporary(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EMSGSIZE) || errors.Is(err, syscall.EHOSTUNREACH) ||
		errors.Is(err, syscall.ENOBUFS)
}
