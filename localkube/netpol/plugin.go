package netpol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// request is what the network plugin tells the enforcer, one JSON document per
// connection; the answer is one too.
type request struct {
	// Add is true when the pod gets the address, false when it gives it up.
	Add       bool       `json:"add"`
	Namespace string     `json:"namespace"`
	Name      string     `json:"name"`
	UID       string     `json:"uid"`
	IP        netip.Addr `json:"ip"`
}

type answer struct {
	Error string `json:"error,omitempty"`
}

// maxMessage bounds a message on the socket.
const maxMessage = 64 << 10

func (r request) pod() types.NamespacedName {
	return types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
}

// serve answers the network plugin until the listener closes.
func (e *Enforcer) serve(ctx context.Context, l net.Listener) {
	var requests sync.WaitGroup
	defer requests.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		requests.Go(func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(2 * catchUp))
			reply := answer{}
			if err := e.handle(ctx, conn); err != nil {
				e.cfg.Log.Error("a pod's network", "error", err)
				reply.Error = err.Error()
			}
			_ = json.NewEncoder(conn).Encode(reply)
		})
	}
}

func (e *Enforcer) handle(ctx context.Context, r io.Reader) error {
	var req request
	if err := json.NewDecoder(io.LimitReader(r, maxMessage)).Decode(&req); err != nil {
		return fmt.Errorf("read the network plugin's request: %w", err)
	}
	if !req.Add {
		return e.tell(ctx, assignment{pod: req.pod(), ip: req.IP, gone: true})
	}
	return e.assign(ctx, req)
}

// pluginVersions are the versions of the CNI specification that we speak.
var pluginVersions = []string{"0.4.0", "1.0.0", "1.1.0"}

// pluginConfig is the part of a plugin's configuration that we read.
type pluginConfig struct {
	CNIVersion string          `json:"cniVersion"`
	Socket     string          `json:"socket"`
	PrevResult json.RawMessage `json:"prevResult"`
}

// Plugin is the network plugin: it runs as the last of a chain, tells the
// enforcer the address that the ones before it gave to the pod, and returns
// when the pod's policies are in force. The result of the chain is passed on
// as it is. Errors are answered on stdout as the CNI specification asks, and
// returned.
func Plugin(ctx context.Context, env func(string) string, stdin io.Reader, stdout io.Writer) error {
	err := plugin(ctx, env, stdin, stdout)
	if err != nil {
		_ = json.NewEncoder(stdout).Encode(map[string]any{"cniVersion": "1.0.0", "code": 100, "msg": err.Error()})
	}
	return err
}

func plugin(ctx context.Context, env func(string) string, stdin io.Reader, stdout io.Writer) error {
	command := env("CNI_COMMAND")
	if command == "VERSION" {
		return json.NewEncoder(stdout).Encode(map[string]any{"cniVersion": "1.0.0", "supportedVersions": pluginVersions})
	}
	var cfg pluginConfig
	if err := json.NewDecoder(stdin).Decode(&cfg); err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	args := parseArgs(env("CNI_ARGS"))
	req := request{Namespace: args["K8S_POD_NAMESPACE"], Name: args["K8S_POD_NAME"], UID: args["K8S_POD_UID"]}
	switch command {
	case "ADD":
		ip, err := firstIPv4(cfg.PrevResult)
		if err != nil {
			return err
		}
		req.Add, req.IP = true, ip
		if err := tellEnforcer(ctx, cfg.Socket, req); err != nil {
			return fmt.Errorf("put the policies of %s/%s in force: %w", req.Namespace, req.Name, err)
		}
		_, err = stdout.Write(cfg.PrevResult)
		return err
	case "DEL":
		// Without an address in the result, whatever the pod holds is given
		// up. An enforcer that is gone holds nothing.
		req.IP, _ = firstIPv4(cfg.PrevResult)
		_ = tellEnforcer(ctx, cfg.Socket, req)
		return nil
	case "CHECK", "GC", "STATUS":
		return nil
	}
	return fmt.Errorf("unknown command %q", command)
}

// tellEnforcer sends one request and waits for its answer.
func tellEnforcer(ctx context.Context, socket string, req request) error {
	conn, err := reach(ctx, socket, req.Add)
	if err != nil {
		return fmt.Errorf("reach the policy enforcer: %w", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * catchUp))
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return fmt.Errorf("ask the policy enforcer: %w", err)
	}
	var a answer
	if err := json.NewDecoder(io.LimitReader(conn, maxMessage)).Decode(&a); err != nil {
		return fmt.Errorf("hear from the policy enforcer: %w", err)
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	return nil
}

// reach connects to the enforcer. A pod that starts waits for one that is just
// being started again; one that ends does not.
func reach(ctx context.Context, socket string, patient bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", socket)
		if err == nil || !patient || ctx.Err() != nil {
			return conn, err
		}
		wait(ctx, ask)
	}
}

// parseArgs reads CNI_ARGS: NAME=VALUE, separated by semicolons.
func parseArgs(s string) map[string]string {
	args := map[string]string{}
	for pair := range strings.SplitSeq(s, ";") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			args[name] = value
		}
	}
	return args
}

// firstIPv4 returns the address that earlier plugins gave to the pod.
func firstIPv4(result json.RawMessage) (netip.Addr, error) {
	var r struct {
		IPs []struct {
			Address netip.Prefix `json:"address"`
		} `json:"ips"`
	}
	if len(result) == 0 {
		return netip.Addr{}, errors.New("no earlier plugin gave a result")
	}
	if err := json.Unmarshal(result, &r); err != nil {
		return netip.Addr{}, fmt.Errorf("read the earlier plugins' result: %w", err)
	}
	for _, ip := range r.IPs {
		if ip.Address.Addr().Is4() {
			return ip.Address.Addr(), nil
		}
	}
	return netip.Addr{}, errors.New("the earlier plugins gave no IPv4 address")
}
