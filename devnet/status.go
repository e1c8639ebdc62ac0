package devnet

import (
	"context"
	"time"

	"berth.dev/berth/client"
)

// Status is what runs of a devnet.
type Status struct {
	Info
	// Running is true while the supervisor keeps the processes running.
	Running bool `json:"running"`
	// Height is the chain's last block; 0 when the chain does not answer.
	Height    int64           `json:"height"`
	Processes []ProcessStatus `json:"processes"`
}

// ProcessStatus is one process that the supervisor keeps running.
type ProcessStatus struct {
	Name string `json:"name"`
	// Pid is 0 while the process does not run, and for what runs within the supervisor.
	Pid int    `json:"pid"`
	Log string `json:"log"`
}

// statusWait bounds how long the chain may take to answer.
const statusWait = 3 * time.Second

// Look returns the state of the devnet in a state directory, or ErrNone.
func Look(ctx context.Context, state string) (Status, error) {
	l := layout{state}
	info, err := Load(state)
	if err != nil {
		return Status{}, err
	}
	s := Status{Info: info, Running: readPid(l.pid(supervisorName)) != 0}
	all, err := readProcesses(l)
	if err != nil {
		return Status{}, err
	}
	for _, p := range all {
		s.Processes = append(s.Processes, ProcessStatus{Name: p.Name, Pid: readPid(l.pid(p.Name)), Log: l.log(p.Name)})
	}
	c, err := client.New(client.Config{Node: info.Node})
	if err != nil {
		return Status{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	if head, err := c.Head(ctx); err == nil {
		s.Height = head.Height
	}
	return s, nil
}
