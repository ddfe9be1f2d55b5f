# Counts the tests in what prove printed: "PASSED FAILED". A file that fails otherwise than by a test (it died, its plan is wrong) is one
# failed test. Used by contrib/test.sh.
/^Test Summary Report/ { summary = 1 }
summary && match($0, /Failed: [0-9]+\)/) {
	tests = substr($0, RSTART + 8, RLENGTH - 9) + 0
	failed += tests
	files += tests == 0
}
match($0, /^Files=[0-9]+, Tests=[0-9]+,/) {
	split(substr($0, RSTART, RLENGTH), part, /[=,]/)
	total = part[4]
}
/^Result: / { result = $2 }
END {
	bad = result == "PASS" ? 0 : failed + files
	if (result != "PASS" && bad == 0) bad = 1
	passed = total - (result == "PASS" ? 0 : failed)
	print (passed > 0 ? passed : 0), bad
}
