//go:build campaign

package s3

// thorough says that every fault is injected at every request (make campaign).
const thorough = true
