"""When something is due: time zones, recurrences, cron expressions. The same on every kind of workspace."""
