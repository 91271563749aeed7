package auth

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseRate reads a speed in bytes a second: a number, with a fraction or
// without, and one of the letters K, M, G, T for powers of 1024, such as "500K",
// "1.5M" or "2M/s"; "off" is -1, no limit.
func ParseRate(s string) (int64, error) {
	if s == "off" {
		return -1, nil
	}
	digits := strings.TrimSuffix(strings.TrimSpace(s), "/s")
	shift := 0
	if n := len(digits); n > 0 {
		if i := strings.IndexByte("KMGT", digits[n-1]&^0x20); i >= 0 {
			digits, shift = digits[:n-1], 10*(i+1)
		}
	}
	if strings.Trim(digits, "0123456789.") != "" {
		return 0, badRate(s)
	}
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0, badRate(s)
	}
	v = math.Ceil(v * float64(int64(1)<<shift))
	if v == 0 {
		return 0, errors.New("a rate of 0 lets nothing through; write off for no limit")
	}
	if v > 1<<62 {
		return 0, fmt.Errorf("rate %q is too large", s)
	}
	return int64(v), nil
}

func badRate(s string) error {
	return fmt.Errorf("rate %q is not bytes a second such as 500K or 1.5M, nor off", s)
}

// FormatRate writes bytes a second as ParseRate reads them.
func FormatRate(rate int64) string {
	if rate <= 0 {
		return "off"
	}
	for i := len("KMGT"); i > 0; i-- {
		if unit := int64(1) << (10 * i); rate >= unit && rate%unit == 0 {
			return strconv.FormatInt(rate/unit, 10) + "KMGT"[i-1:i]
		}
	}
	return strconv.FormatInt(rate, 10)
}
