// Package gatewaybench measures a gateway under load: clients in this process, the gateway in one of its own, so that what
// it takes is its own. Run it by `make bench-gateway`.
package gatewaybench
