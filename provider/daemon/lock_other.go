//go:build !unix

package daemon

import "os"

// flock does nothing where the system has no such lock; the gateway's port then keeps a second daemon out.
func flock(*os.File) error { return nil }
