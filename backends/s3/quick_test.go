//go:build !campaign

package s3

// thorough: without the campaign a part of the faults has to do.
const thorough = false
