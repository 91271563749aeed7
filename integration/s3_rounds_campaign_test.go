//go:build campaign

package integration

const (
	gatewayKills = 100
	cutsEach     = 49
)
