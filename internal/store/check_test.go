package store

import (
	"fmt"
	"testing"
)

// TestReportIsBounded fills a report with one kind of findings: the others still
// have room.
func TestReportIsBounded(t *testing.T) {
	var r Report
	for i := range MaxFindings + 7 {
		r.Add(FaultKey, fmt.Sprint("event ", i), "it has %d keys", i)
	}
	r.Add(FaultBlock, "block 1", "100%% gone")
	if len(r.Findings) != MaxFindings+1 || r.More != 7 {
		t.Errorf("%d findings and %d more", len(r.Findings), r.More)
	}
	if got := (Finding{FaultKey, "event 99", "it has 99 keys"}); r.Findings[99] != got {
		t.Errorf("%v", r.Findings[99])
	}
	if got := (Finding{FaultBlock, "block 1", "100% gone"}); r.Findings[100] != got {
		t.Errorf("%v", r.Findings[100])
	}
}
