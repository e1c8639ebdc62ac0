package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	manifesttypes "berth.dev/berth/manifest/types"
	markettypes "berth.dev/berth/x/market/types"
)

// maxServiceInHost leaves room for a port number and eight hexadecimal digits in a DNS label of 63 characters.
const maxServiceInHost = 48

// Route is an http port of a service that anyone may reach, and the host names that lead to it.
type Route struct {
	Service string
	// Port is the port of the service, that is `as` of the expose.
	Port uint32
	// Host is the generated host name.
	Host string
	// Accept are the host names that the tenant asked for.
	Accept []string
}

// Anyone tells whether an expose is open to clients outside of the deployment.
func Anyone(e manifesttypes.Expose) bool {
	for _, to := range e.To {
		if to.Service == "" && to.Global {
			return true
		}
	}
	return false
}

// Routes returns the http ports of a service that anyone may reach, in the order of the manifest. The first one has the
// host SERVICE-HASH.DOMAIN, further ones SERVICE-PORT-HASH.DOMAIN; HASH is taken from the lease id, so that hosts of
// different leases differ and an update keeps them.
func Routes(lease markettypes.LeaseID, s manifesttypes.Service, domain string) []Route {
	var routes []Route
	for _, e := range s.Expose {
		if e.Proto != manifesttypes.PROTO_HTTP || !Anyone(e) {
			continue
		}
		label := hostLabel(lease, s.Name, e.As, len(routes) == 0)
		routes = append(routes, Route{Service: s.Name, Port: e.As, Host: label + "." + domain, Accept: e.Accept})
	}
	return routes
}

func hostLabel(lease markettypes.LeaseID, service string, port uint32, first bool) string {
	short, key := service, lease.String()+"/"+service
	if len(short) > maxServiceInHost {
		short = strings.TrimRight(short[:maxServiceInHost], "-")
	}
	if !first {
		p := strconv.FormatUint(uint64(port), 10)
		short, key = short+"-"+p, key+"/"+p
	}
	sum := sha256.Sum256([]byte(key))
	return short + "-" + hex.EncodeToString(sum[:4])
}

// URL is the address of a host name for clients; port is the port that they connect to, 0 or 80 for the default of http.
func URL(host string, port int) string {
	if port == 0 || port == 80 {
		return "http://" + host
	}
	return "http://" + host + ":" + strconv.Itoa(port)
}
