package config

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// verificationCodes reduces what people copy from TikTok's console to the code in it: the name of the file,
// or the line that is its content and the value of the DNS record.
func verificationCodes(entries []string) []string {
	var codes []string
	for _, entry := range entries {
		code := strings.TrimPrefix(entry, "tiktok-developers-site-verification=")
		if name, isFile := strings.CutSuffix(code, ".txt"); isFile {
			code = strings.TrimPrefix(name, "tiktok")
		}
		if !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	return codes
}

// verificationPattern allows 128 characters; TikTok's codes have 32.
var verificationPattern = regexp.MustCompile(`^[A-Za-z0-9]{8,128}$`)

func checkVerification(code string) error {
	if !verificationPattern.MatchString(code) {
		return errors.New("is no code of TikTok's, which is letters and digits; copy the name of the file that TikTok " +
			"offers, like tiktokAbC123dEf456.txt")
	}
	return nil
}
