package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// failureWait is how long a connection that has ended waits for what the kubelet says of its end, which comes with it.
const failureWait = 2 * time.Second

// Forward implements cluster.Cluster.
func (c *Cluster) Forward(ctx context.Context, id markettypes.LeaseID, o cluster.ForwardOptions) (net.Conn, error) {
	if o.Port == 0 || o.Port > 65535 {
		return nil, fmt.Errorf("kube: connect to %s: %w: %d is not a port", id, cluster.ErrRefused, o.Port)
	}
	pod, err := c.target(ctx, id, o.Target)
	if err != nil {
		return nil, fmt.Errorf("kube: connect to %s: %w", id, err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := c.inside.dial(ctx, pod, o.Port)
	if err != nil {
		return nil, fmt.Errorf("kube: connect to instance %s of %s: %w", pod.Name, id, err)
	}
	return conn, nil
}

// dial connects to a port of an instance. A connection that comes after ctx has ended is closed.
func (in inside) dial(ctx context.Context, pod *corev1.Pod, port uint32) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	dialled := make(chan result, 1)
	go func() {
		conn, err := in.connect(pod, port)
		if err != nil {
			dialled <- result{nil, err}
			return
		}
		dialled <- result{conn, nil}
	}()
	select {
	case r := <-dialled:
		return r.conn, r.err
	case <-ctx.Done():
		go func() {
			if r := <-dialled; r.err == nil {
				_ = r.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// connect connects to a port of an instance, by a connection to the API server that carries no other: over WebSocket or,
// where something on the way does not carry that, over SPDY alone.
func (in inside) connect(pod *corev1.Pod, port uint32) (*streamConn, error) {
	url := in.client.Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	first, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, in.config)
	if err != nil {
		return nil, fmt.Errorf("prepare a connection: %w", err)
	}
	transport, upgrader, err := spdy.RoundTripperFor(in.config)
	if err != nil {
		return nil, fmt.Errorf("prepare a connection: %w", err)
	}
	second := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	conn, _, err := portforward.NewFallbackDialerForStreaming(first, second, notCarried).Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	s := &streamConn{conn: conn, what: fmt.Sprintf("port %d of instance %s", port, pod.Name), told: make(chan struct{})}
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.FormatUint(uint64(port), 10))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	failures, err := conn.CreateStream(headers)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	_ = failures.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	if s.Stream, err = conn.CreateStream(headers); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	go s.listen(failures)
	return s, nil
}

// streamConn is a stream of a connection that holds no other.
type streamConn struct {
	httpstream.Stream
	conn httpstream.Connection
	what string
	// failure is what the kubelet said of the end of the connection; written before told is closed.
	failure error
	told    chan struct{}
}

// listen waits for what the kubelet says of a port that nobody listens on, or of a connection that broke, which ends it.
func (s *streamConn) listen(failures io.Reader) {
	defer close(s.told)
	text, err := io.ReadAll(io.LimitReader(failures, maxAnswerBytes))
	if len(text) == 0 || err != nil && len(text) == 0 {
		return
	}
	if strings.Contains(string(text), "connection refused") {
		s.failure = fmt.Errorf("%w: nothing listens on %s", cluster.ErrRefused, s.what)
	} else {
		s.failure = fmt.Errorf("the connection to %s broke: %s", s.what, printable(string(text), maxMessage))
	}
	_ = s.conn.Close()
}

// Read implements net.Conn. At the end it returns what the kubelet said of it.
func (s *streamConn) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	wait := time.NewTimer(failureWait)
	defer wait.Stop()
	select {
	case <-s.told:
		if s.failure != nil {
			return 0, s.failure
		}
	case <-wait.C:
	}
	return 0, err
}

// Close implements net.Conn.
func (s *streamConn) Close() error {
	return errors.Join(s.Reset(), s.conn.Close())
}

// CloseWrite says that nothing more is written. What comes from the instance after that may be cut off a second later, as
// container runtimes do.
func (s *streamConn) CloseWrite() error { return s.Stream.Close() }

// LocalAddr implements net.Conn; there is no address.
func (s *streamConn) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements net.Conn; there is no address.
func (s *streamConn) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline implements net.Conn; who closes the connection ends what waits for it.
func (s *streamConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn like SetDeadline.
func (s *streamConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn like SetDeadline.
func (s *streamConn) SetWriteDeadline(time.Time) error { return nil }
