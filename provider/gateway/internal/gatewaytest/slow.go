package gatewaytest

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Ways are how a slow reader can ask for a stream.
var Ways = []string{"http/1.1", "h2", "websocket"}

// DialFrom connects from a loopback address. The kernel keeps as little for the client as it lets one ask for, so that
// what a server has sent and the client has not read is kept by the server.
func DialFrom(ip, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if bad := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) }); bad != nil {
			return bad
		}
		return err
	}}
	return d.Dial("tcp", addr)
}

// ReadSlowly asks for a stream at a path in one of Ways, and takes one byte of what comes whenever every has passed, until ctx
// ends or the connection is closed. The connection is the caller's to close.
func ReadSlowly(ctx context.Context, conn net.Conn, cfg *tls.Config, way, path, bearer string, every time.Duration) error {
	throttle := &slowConn{Conn: conn}
	cfg = cfg.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	if way == "h2" {
		cfg.NextProtos = []string{"h2"}
	}
	c := tls.Client(throttle, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	if way == "h2" {
		return readWindows(ctx, c, path, bearer, every)
	}
	req := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer %s\r\n", path, bearer)
	if way == "websocket" {
		req += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	}
	if _, err := io.WriteString(c, req+"\r\n"); err != nil {
		return err
	}
	throttle.ctx, throttle.every = ctx, every
	_, err := io.Copy(io.Discard, c)
	return err
}

// slowConn gives one byte each time, once every is set.
type slowConn struct {
	net.Conn
	ctx   context.Context
	every time.Duration
}

// Read implements net.Conn.
func (c *slowConn) Read(p []byte) (int, error) {
	if c.every == 0 || len(p) == 0 {
		return c.Conn.Read(p)
	}
	select {
	case <-c.ctx.Done():
		return 0, c.ctx.Err()
	case <-time.After(c.every):
		return c.Conn.Read(p[:1])
	}
}

// readWindows opens a stream of HTTP/2 whose window is one byte, and widens it by one byte each time.
func readWindows(ctx context.Context, c net.Conn, path, bearer string, every time.Duration) error {
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return err
	}
	f := http2.NewFramer(c, c)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "gateway"}, {":path", path}, {"authorization", "Bearer " + bearer}} {
		if err := enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			return err
		}
	}
	if err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}); err != nil {
		return err
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		return err
	}
	ended := make(chan error, 1)
	acks := make(chan http2.Frame, 16)
	go func() {
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				ended <- err
				return
			}
			switch x := frame.(type) {
			case *http2.RSTStreamFrame:
				ended <- http2.StreamError{StreamID: x.StreamID, Code: x.ErrCode}
				return
			case *http2.SettingsFrame, *http2.PingFrame:
				acks <- copied(x)
			}
		}
	}()
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err = <-ended:
			return err
		case frame := <-acks:
			err = answer(f, frame)
		case <-t.C:
			err = f.WriteWindowUpdate(1, 1)
		}
		if err != nil {
			return err
		}
	}
}

// copied is a frame that stays as it is when the next one is read.
func copied(frame http2.Frame) http2.Frame {
	switch x := frame.(type) {
	case *http2.SettingsFrame:
		y := *x
		return &y
	case *http2.PingFrame:
		y := *x
		return &y
	}
	return frame
}

// answer acknowledges what HTTP/2 wants acknowledged.
func answer(f *http2.Framer, frame http2.Frame) error {
	switch x := frame.(type) {
	case *http2.SettingsFrame:
		if !x.Header().Flags.Has(http2.FlagSettingsAck) {
			return f.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !x.IsAck() {
			return f.WritePing(true, x.Data)
		}
	}
	return nil
}
