module github.com/grapnel-hooks/grapnel

go 1.26
