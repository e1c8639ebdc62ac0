// Package usage tells what pods and nodes use: the API metrics.k8s.io/v1beta1,
// by which Kubernetes scales workloads and people look at them. What it tells
// it reads from the kubelet when somebody asks, at most once a second.
package usage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// fresh is how long what the kubelet said is passed on.
	fresh = time.Second
	// patience is how long the kubelet may take for an answer.
	patience = 10 * time.Second
	// maxSummary bounds that answer: a node has some hundred pods with a few
	// hundred bytes each.
	maxSummary = 32 << 20
	// window is how long the kubelet looks at a container for its use of
	// processors.
	window = 10 * time.Second
)

// amount is what something uses. Without a rate it is too young to be told of.
type amount struct {
	CPU struct {
		Time           metav1.Time `json:"time"`
		UsageNanoCores *uint64     `json:"usageNanoCores"`
	} `json:"cpu"`
	Memory struct {
		WorkingSetBytes *uint64 `json:"workingSetBytes"`
	} `json:"memory"`
}

// summary is the part of the kubelet's answer that is passed on.
type summary struct {
	Node struct {
		Name string `json:"nodeName"`
		amount
	} `json:"node"`
	Pods []struct {
		Ref struct {
			UID types.UID `json:"uid"`
		} `json:"podRef"`
		Containers []struct {
			Name string `json:"name"`
			amount
		} `json:"containers"`
	} `json:"pods"`
}

// reading is what was read at once.
type reading struct {
	node string
	own  *measure
	pods map[types.UID]podMeasure
}

// measure is what something used at a moment.
type measure struct {
	at  time.Time
	use usage
}

type podMeasure struct {
	at         time.Time // of the oldest of its containers
	containers []container
}

// usage is by resource, in the form of the API.
type usage map[string]resource.Quantity

type container struct {
	Name  string `json:"name"`
	Usage usage  `json:"usage"`
}

// measured is an amount in the form of the API; nil if it is not known yet.
func (a amount) measured() *measure {
	if a.CPU.UsageNanoCores == nil || a.Memory.WorkingSetBytes == nil {
		return nil
	}
	return &measure{at: a.CPU.Time.Time, use: usage{
		"cpu":    *resource.NewScaledQuantity(clamp(*a.CPU.UsageNanoCores), resource.Nano),
		"memory": *resource.NewQuantity(clamp(*a.Memory.WorkingSetBytes), resource.BinarySI),
	}}
}

// clamp keeps a number that no machine reaches from turning negative.
func clamp(n uint64) int64 { return int64(min(n, 1<<62)) }

// read turns the kubelet's answer into what is told. A pod of which one
// container is not known yet is left out: half of what it uses would pass for
// all of it.
func read(data []byte) (*reading, error) {
	var s summary
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("read the kubelet's summary: %w", err)
	}
	r := &reading{node: s.Node.Name, own: s.Node.measured(), pods: map[types.UID]podMeasure{}}
	for _, p := range s.Pods {
		m := podMeasure{}
		for _, c := range p.Containers {
			one := c.measured()
			if one == nil {
				m = podMeasure{}
				break
			}
			if m.at.IsZero() || one.at.Before(m.at) {
				m.at = one.at
			}
			m.containers = append(m.containers, container{c.Name, one.use})
		}
		if len(m.containers) > 0 {
			r.pods[p.Ref.UID] = m
		}
	}
	return r, nil
}

// kubelet reads from a node's kubelet, once for all who ask in the same second.
type kubelet struct {
	client *http.Client
	url    string
	now    func() time.Time

	mu   sync.Mutex
	last *reading
	err  error
	at   time.Time // of last and err
}

// newest is what the kubelet says. It returns an error if the kubelet does not
// answer as it should.
func (k *kubelet) newest(ctx context.Context) (*reading, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if (k.last != nil || k.err != nil) && k.now().Sub(k.at) < fresh {
		return k.last, k.err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// What is read is for others too: it does not end with the request that asked first.
	k.last, k.err = k.ask(context.WithoutCancel(ctx))
	k.at = k.now()
	return k.last, k.err
}

func (k *kubelet) ask(ctx context.Context) (*reading, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url+"/stats/summary?only_cpu_and_memory=true", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask the kubelet: %w", err)
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the kubelet: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxSummary+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask the kubelet: %w", err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("ask the kubelet: %s", resp.Status)
	case len(data) > maxSummary:
		return nil, errors.New("ask the kubelet: the summary is too large")
	}
	return read(data)
}
