package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/p2p"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	"github.com/spf13/cobra"
	"github.com/spf13/viper"

	"github.com/cosmos/cosmos-sdk/client/flags"
	srvcfg "github.com/cosmos/cosmos-sdk/server/config"

	"berth.dev/berth/client"
)

// errUnhealthy means that doctor found something that must be mended; the findings have been printed.
var errUnhealthy = errors.New("something must be mended")

// The verdicts of a check.
const (
	verdictOK   = "ok"
	verdictWarn = "warn"
	verdictFail = "fail"
)

// finding is what a check says.
type finding struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict"`
	Detail  string `json:"detail"`
	// Next is what to do about it; empty when all is well.
	Next string `json:"next,omitempty"`
}

// machine is what doctor asks of the machine. Tests give answers of their own.
type machine struct {
	now func() time.Time
	// disk gives the free and the whole bytes of the file system of a directory.
	disk func(dir string) (free, total uint64, err error)
	// write gives how fast a directory takes data that is flushed to the disk, in bytes a second, and how long one
	// small flushed write takes.
	write func(dir string) (rate float64, flush time.Duration, err error)
	// openFiles is how many files a process may have open.
	openFiles func() (uint64, error)
	// listening tells whether something takes connections at an address; free, whether one can listen there.
	listening, free func(address string) error
}

// doctor looks at one node.
type doctor struct {
	machine
	home  string
	comet *cmtcfg.Config
	app   srvcfg.Config
	// rpc is where the node is asked.
	rpc string
	// own is the node's id by its key file, empty without one.
	own p2p.ID
	// status and info are nil if the node does not run.
	status *ctypes.ResultStatus
	info   *ctypes.ResultABCIInfo
	peers  *ctypes.ResultNetInfo
	client *client.Client

	findings []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, finding{check, verdictOK, fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(check, next, format string, args ...any) {
	d.findings = append(d.findings, finding{check, verdictWarn, fmt.Sprintf(format, args...), next})
}

func (d *doctor) fail(check, next, format string, args ...any) {
	d.findings = append(d.findings, finding{check, verdictFail, fmt.Sprintf(format, args...), next})
}

func doctorCommand() *cobra.Command {
	var rpc, format string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with this node, and say what to do",
		Long: "Check a node's configuration, keys, ports, disk, limits and, if it runs, its clock, peers, versions and genesis.\n" +
			"Each check says ok, warn or fail with what to do next. Nothing is changed: to measure the disk a file of 8 MiB is\n" +
			"written to the data directory and removed. The exit code is 1 if a check failed.",
		Example:           "berthd doctor\nberthd doctor --home /srv/berthd -o json",
		Args:              cobra.NoArgs,
		PersistentPreRunE: noPrepare, // it would write configuration into a home that has none
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "text" && format != "json" {
				return fmt.Errorf("--output: %q is neither text nor json", format)
			}
			home, err := cmd.Flags().GetString(flags.FlagHome)
			if err != nil {
				return err
			}
			d := &doctor{machine: thisMachine(), home: home, rpc: rpc}
			d.examine(cmd.Context())
			return d.print(cmd, format)
		},
	}
	cmd.Flags().StringVar(&rpc, "node", "", "RPC of the node; default is the one in its config.toml")
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return cmd
}

// thisMachine asks the machine that we run on.
func thisMachine() machine {
	return machine{
		now: time.Now, disk: diskSpace, write: writeSpeed,
		openFiles: func() (uint64, error) {
			var limit syscall.Rlimit
			err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
			return limit.Cur, err
		},
		listening: func(address string) error {
			conn, err := net.DialTimeout("tcp", address, 2*time.Second)
			if err != nil {
				return err
			}
			return conn.Close()
		},
		free: func(address string) error {
			l, err := net.Listen("tcp", address)
			if err != nil {
				return err
			}
			return l.Close()
		},
	}
}

func diskSpace(dir string) (free, total uint64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

// writeSpeed writes a file and flushes it, then some small writes.
func writeSpeed(dir string) (rate float64, flush time.Duration, err error) {
	const size, small, writes = 8 << 20, 4 << 10, 8
	f, err := os.CreateTemp(dir, "doctor-*")
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	start := time.Now()
	if _, err := f.Write(make([]byte, size)); err != nil {
		return 0, 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, 0, err
	}
	rate = size / time.Since(start).Seconds()
	start = time.Now()
	for range writes {
		if _, err := f.Write(make([]byte, small)); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
	}
	return rate, time.Since(start) / writes, nil
}

// examine runs every check. Without a readable configuration there is nothing more to look at.
func (d *doctor) examine(ctx context.Context) {
	if !d.readConfig() {
		return
	}
	d.checkConfig()
	d.checkKeys()
	d.ask(ctx)
	d.checkRunning()
	d.checkGenesis(ctx)
	d.checkPorts()
	d.checkDisk()
	d.checkOpenFiles()
	d.checkClock()
	d.checkPeers()
	d.checkVersions()
}

// readConfig reads config.toml and app.toml as they are on disk.
func (d *doctor) readConfig() bool {
	const next = "write the home with `berthd init`, or name the right one with --home"
	dir := filepath.Join(d.home, "config")
	d.comet = cmtcfg.DefaultConfig()
	v := viper.New()
	v.SetConfigFile(filepath.Join(dir, "config.toml"))
	if err := errors.Join(v.ReadInConfig(), v.Unmarshal(d.comet)); err != nil {
		d.fail("config", next, "config.toml cannot be read: %v", err)
		return false
	}
	d.comet.SetRoot(d.home)
	v = viper.New()
	v.SetConfigFile(filepath.Join(dir, "app.toml"))
	err := v.ReadInConfig()
	if err == nil {
		d.app, err = srvcfg.GetConfig(v)
	}
	if err != nil {
		d.fail("config", next, "app.toml cannot be read: %v", err)
		return false
	}
	return true
}

// ask asks the node for what it is; one that does not answer leaves no answers.
func (d *doctor) ask(ctx context.Context) {
	if d.rpc == "" {
		d.rpc = localAddress(d.comet.RPC.ListenAddress)
	}
	c, err := client.New(client.Config{Node: d.rpc})
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if d.status, err = c.RPC().Status(ctx); err != nil {
		return
	}
	d.client = c
	if d.info, err = c.RPC().ABCIInfo(ctx); err != nil {
		d.info = nil
	}
	if d.peers, err = c.RPC().NetInfo(ctx); err != nil {
		d.peers = nil
	}
}

// localAddress is where this machine reaches what listens at an address: everywhere is here too.
func localAddress(listen string) string {
	address := strings.TrimPrefix(listen, "tcp://")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return "tcp://" + net.JoinHostPort(host, port)
}

// print writes the findings, and returns errUnhealthy if one of them is a failure.
func (d *doctor) print(cmd *cobra.Command, format string) error {
	counts := map[string]int{}
	for _, f := range d.findings {
		counts[f.Verdict]++
	}
	if format == "json" {
		if err := printJSON(cmd, struct {
			Home   string    `json:"home"`
			OK     int       `json:"ok"`
			Warn   int       `json:"warn"`
			Fail   int       `json:"fail"`
			Checks []finding `json:"checks"`
		}{d.home, counts[verdictOK], counts[verdictWarn], counts[verdictFail], d.findings}); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, f := range d.findings {
			fmt.Fprintf(w, "%s\t%s\t%s\n", f.Verdict, f.Check, f.Detail)
			if f.Next != "" {
				fmt.Fprintf(w, "\t\t-> %s\n", f.Next)
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if n := counts[verdictFail]; n > 0 {
		return fmt.Errorf("%d of %d checks failed: %w", n, len(d.findings), errUnhealthy)
	}
	return nil
}
