// Package incluster holds the end-to-end test of deploy/kubernetes: the provider runs inside of its own cluster.
package incluster
