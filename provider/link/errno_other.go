//go:build !unix

package link

// temporary tells whether an error of a udp socket says something of a datagram only.
func temporary(error) bool { return false }
