package daemon

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// link is a TCP connection to the chain's RPC that a test can cut.
type link struct {
	target   string
	listener net.Listener

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func newLink(t *testing.T, target string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{target: strings.TrimPrefix(target, "tcp://"), listener: l, conns: make(map[net.Conn]bool)}
	k.wg.Go(k.serve)
	t.Cleanup(func() {
		_ = l.Close()
		k.cut()
		k.wg.Wait()
	})
	return k
}

func (k *link) addr() string { return "tcp://" + k.listener.Addr().String() }

func (k *link) serve() {
	for {
		c, err := k.listener.Accept()
		if err != nil {
			return
		}
		k.wg.Go(func() { k.carry(c) })
	}
}

func (k *link) carry(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", k.target)
	if err != nil || !k.add(c, up) {
		return
	}
	defer up.Close()
	k.wg.Go(func() {
		_, _ = io.Copy(up, c)
		_ = up.Close()
	})
	_, _ = io.Copy(c, up)
}

// add keeps track of open connections; it refuses them while the link is cut.
func (k *link) add(conns ...net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range conns {
		if k.down {
			_ = c.Close()
			continue
		}
		k.conns[c] = true
	}
	return !k.down
}

// cut ends all connections and refuses new ones.
func (k *link) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = true
	for c := range k.conns {
		_ = c.Close()
	}
	k.conns = make(map[net.Conn]bool)
}

// mend lets connections through again.
func (k *link) mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = false
}
