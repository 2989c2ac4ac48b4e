package authn

// AppendMAC256 lets tests hold it against package hmac.
var AppendMAC256 = appendMAC256
