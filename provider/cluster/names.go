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

// Route is an http or https port of a service that anyone may reach, and the host names that lead to it.
type Route struct {
	Service string
	// Proto is http, or https: TLS that is passed through to the service by its server name.
	Proto manifesttypes.Proto
	// Options are the settings of an http port; nil for the provider's own.
	Options *manifesttypes.HTTPOptions
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

// Routed tells whether an expose is reached by host name from outside.
func Routed(e manifesttypes.Expose) bool {
	return Anyone(e) && (e.Proto == manifesttypes.PROTO_HTTP || e.Proto == manifesttypes.PROTO_HTTPS)
}

// Routes returns the http and https ports of a service that anyone may reach, in the order of the manifest. The first
// http port has the host SERVICE-HASH.DOMAIN, all others SERVICE-PORT-HASH.DOMAIN; HASH is taken from the lease id, so
// that hosts of different leases differ and an update keeps them.
func Routes(lease markettypes.LeaseID, s manifesttypes.Service, domain string) []Route {
	var routes []Route
	first := true
	for _, e := range s.Expose {
		if !Routed(e) {
			continue
		}
		http := e.Proto == manifesttypes.PROTO_HTTP
		label := hostLabel(lease, s.Name, e.As, http && first)
		first = first && !http
		routes = append(routes, Route{
			Service: s.Name, Proto: e.Proto, Options: e.HttpOptions, Port: e.As, Host: label + "." + domain, Accept: e.Accept,
		})
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

// SecureURL is the address of a host name for clients by https; port is the port that they connect to, 0 or 443 for the
// default of https.
func SecureURL(host string, port int) string {
	if port == 0 || port == 443 {
		return "https://" + host
	}
	return "https://" + host + ":" + strconv.Itoa(port)
}

// URL is the address of a host name for clients; port is the port that they connect to, 0 or 80 for the default of http.
func URL(host string, port int) string {
	if port == 0 || port == 80 {
		return "http://" + host
	}
	return "http://" + host + ":" + strconv.Itoa(port)
}
