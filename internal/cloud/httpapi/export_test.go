package httpapi

import (
	"context"
	"reflect"
)

// FileType is what a definition's file is decoded into.
var FileType = reflect.TypeFor[file]()

// MapKeys are the keys of the maps in it that are words of the format.
var MapKeys = []string{
	string(List), string(Status), string(Verify), string(Create), string(Rotate), string(Disable), string(Enable), string(Delete), string(Promote), string(Abandon),
	string(quota), string(throttled), string(permanent),
}

// Send tries to send an operation, whatever it does.
func Send(ctx context.Context, c *Client, name OperationName) error {
	_, err := c.read(ctx, c.def.ops[name], c.with(nil), nil)
	return err
}
