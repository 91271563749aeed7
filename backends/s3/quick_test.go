//go:build !campaign

package s3

// thorough: without the campaign every third fault of the matrix has to do.
const thorough = false
