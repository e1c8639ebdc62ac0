package kube

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"
)

// proofPrefix stands before a host name in the name of the record that shows whose it is.
const proofPrefix = "_berth."

// proofTimeout bounds the questions for one record.
const proofTimeout = 10 * time.Second

// resolver reads the TXT records of a name. An error that is a net.DNSError with IsNotFound says that there are none;
// any other, that nothing was learned.
type resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// newResolver asks the DNS server at an address, or as the system does if it is empty.
func newResolver(address string) resolver {
	if address == "" {
		return &net.Resolver{PreferGo: true}
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}}
}

// proofText is what the record of a host has to hold for an owner.
func proofText(chainID, owner string) string { return "berth-owner=" + chainID + ":" + owner }

// proven tells whether the records of a host name the owner.
func proven(ctx context.Context, r resolver, host, chainID, owner string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	texts, err := r.LookupTXT(ctx, proofPrefix+host+".")
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, text := range texts {
		if strings.TrimSpace(text) == proofText(chainID, owner) {
			return true, nil
		}
	}
	return false, nil
}
