// Package testnet runs a network of real nodes, breaks it in the ways that networks break, and looks at it from outside:
// by what the nodes' RPCs say. It needs root and the programs in $BERTH_BIN.
//
// The test runs itself again in namespaces of its own: processes, mounts and network. Each node is in a network
// namespace besides, joined to the others by a bridge. All of it goes with the test's process, however that ends, and
// nothing of it is seen or reached from outside.
package testnet
