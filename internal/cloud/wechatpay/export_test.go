package wechatpay

// Decode reads an answer and tells how many certificates it holds.
func Decode(body, apiKey []byte) (int, error) {
	certs, err := decode(body, apiKey)
	return len(certs), err
}
