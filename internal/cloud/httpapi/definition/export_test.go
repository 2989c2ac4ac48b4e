package definition

import "reflect"

// FileType is what a definition's file is decoded into.
var FileType = reflect.TypeFor[file]()

// MapKeys are the keys of the maps in it that are words of the format.
var MapKeys = []string{
	string(List), string(Status), string(Verify), string(Create), string(Rotate), string(Disable), string(Enable), string(Delete), string(Promote), string(Abandon),
	string(Quota), string(Throttled), string(Permanent), string(Absent),
}
