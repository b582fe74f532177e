package pack

import "time"

// DayBits is how many bits of a block's number tell it from others of its day,
// in stores where numbers begin with the day since 1970 (UTC). Numbers below
// 1 << DayBits were given out by a store in which they just count.
const DayBits = 36

// FirstOfDay is the number before which all blocks of earlier days lie.
func FirstOfDay(at time.Time) int64 { return at.Unix() / (24 * 60 * 60) << DayBits }
