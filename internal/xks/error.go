package xks

// An ErrorName is what an error answer names itself.
type ErrorName string

// The error names of version 1.
const (
	ValidationException           ErrorName = "ValidationException"
	InvalidStateException         ErrorName = "InvalidStateException"
	InvalidCiphertextException    ErrorName = "InvalidCiphertextException"
	InvalidKeyUsageException      ErrorName = "InvalidKeyUsageException"
	AuthenticationFailedException ErrorName = "AuthenticationFailedException"
	AccessDeniedException         ErrorName = "AccessDeniedException"
	KeyNotFoundException          ErrorName = "KeyNotFoundException"
	InvalidURIPathException       ErrorName = "InvalidUriPathException"
	ThrottlingException           ErrorName = "ThrottlingException"
	UnsupportedOperationException ErrorName = "UnsupportedOperationException"
	DependencyTimeoutException    ErrorName = "DependencyTimeoutException"
	InternalException             ErrorName = "InternalException"
)

// Statuses are the HTTP statuses of the error names.
var Statuses = map[ErrorName]int{
	ValidationException: 400, InvalidStateException: 400, InvalidCiphertextException: 400, InvalidKeyUsageException: 400,
	AuthenticationFailedException: 401, AccessDeniedException: 403, KeyNotFoundException: 404, InvalidURIPathException: 404,
	ThrottlingException: 429, InternalException: 500, UnsupportedOperationException: 501, DependencyTimeoutException: 503,
}

// maxMessage is how many characters an error's message has at most.
const maxMessage = 511

// An ErrorResponse is the body of an error.
type ErrorResponse struct {
	Name    ErrorName `json:"errorName"`
	Message string    `json:"errorMessage,omitempty"`
}

// NewError answers an error with as much of the message as the specification allows:
// printable ASCII, less than 512 characters.
func NewError(name ErrorName, message string) ErrorResponse {
	text := make([]byte, 0, len(message))
	for _, c := range message {
		if len(text) == maxMessage {
			break
		}
		if c < 0x20 || c > 0x7e {
			c = '?'
		}
		text = append(text, byte(c))
	}
	return ErrorResponse{name, string(text)}
}
