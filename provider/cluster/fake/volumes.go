package fake

import (
	"context"
	"fmt"
	"slices"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// Volumes implements cluster.Cluster.
func (c *Cluster) Volumes(ctx context.Context, id markettypes.LeaseID) ([]cluster.Volume, error) {
	if err := c.enter(ctx, OpVolumes); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	l, ok := c.leases[id]
	if !ok || l.terminating {
		return nil, fmt.Errorf("simulated cluster: volumes of %s: %w", id, cluster.ErrNotFound)
	}
	return slices.Clone(l.volumes), nil
}

// nextVolumes are the volumes of a lease that had some before it gets a manifest. All of them stay; newID names those
// that are new. It returns an error that wraps cluster.ErrRefused if one would shrink or change its class.
func nextVolumes(had []cluster.Volume, services []manifesttypes.Service, newID func() string) ([]cluster.Volume, error) {
	out := slices.Clone(had)
	for i := range out {
		out[i].Kept = true
	}
	for _, sv := range services {
		for _, v := range sv.Volumes {
			if attribute(v, "persistent") != "true" {
				continue
			}
			class := attribute(v, "class")
			if class == "" {
				class = "default"
			}
			for n := range int(sv.Count) {
				i := slices.IndexFunc(out, func(x cluster.Volume) bool { return x.Service == sv.Name && x.Instance == n && x.Name == v.Name })
				if i < 0 {
					i = len(out)
					out = append(out, cluster.Volume{Service: sv.Name, Instance: n, Name: v.Name, Class: class, ID: newID()})
				}
				if out[i].Class != class || out[i].Bytes > cluster.Bytes(v.Bytes) {
					return nil, fmt.Errorf("%w: services.%s: volume %s cannot shrink or change its class", cluster.ErrRefused, sv.Name, v.Name)
				}
				out[i].Bytes, out[i].Kept = cluster.Bytes(v.Bytes), false
			}
		}
	}
	cluster.SortVolumes(out)
	return out, nil
}

func attribute(v manifesttypes.Volume, key string) string {
	for _, a := range v.Attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// volumeID gives a volume an id that none of this cluster had before. c.mu is held.
func (c *Cluster) volumeID() string {
	c.volumes++
	return fmt.Sprintf("volume-%d", c.volumes)
}
