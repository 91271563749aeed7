//go:build !campaign

package integration

// gatewayKills is how often TestS3GatewayKills kills a gateway.
const gatewayKills = 5

// cutsEach is how many of the ways to break off TestS3Cuts tries at each place; the
// others have their turn at the next ones.
const cutsEach = 2

// listedKeys is how many keys TestS3ManyKeys lists.
const listedKeys = 50_000
