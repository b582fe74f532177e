package api

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/danielgtaylor/huma/v2"
)

// verbatim writes answers as huma's JSON format does, but an event's logEvent
// as it came: encoding/json takes the white space out of a json.RawMessage.
var verbatim = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		e, ok := v.(EventDetail)
		if !ok {
			return huma.DefaultJSONFormat.Marshal(w, v)
		}
		logEvent := e.LogEvent
		e.LogEvent = json.RawMessage("null")
		var b bytes.Buffer
		if err := huma.DefaultJSONFormat.Marshal(&b, e); err != nil {
			return err
		}
		// No string before it can hold this text: its quotes would be escaped.
		before, after, _ := bytes.Cut(b.Bytes(), []byte(`"logEvent":null`))
		for _, part := range [][]byte{before, []byte(`"logEvent":`), logEvent, after} {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		return nil
	},
	Unmarshal: huma.DefaultJSONFormat.Unmarshal,
}
