# Waiting in tests: poll until something is true, with a deadline and a message that says what was waited for.
# Nothing in t/ sleeps for a fixed time and hopes.
package Verstak::Wait;
use v5.36;
use Carp        qw(croak);
use Exporter    qw(import);
use Time::HiRes qw(time);
our @EXPORT_OK = qw(wait_for wait_until pause);

# A deadline under a sanitizer or on a slow machine is longer: VERSTAK_TEST_SLOWNESS=4 stretches each one.
sub slowness () {
    return $ENV{VERSTAK_TEST_SLOWNESS} || 1;
}

# The shortest rest between two polls, in seconds.
sub pause ($seconds = 0.02) {
    select undef, undef, undef, $seconds;
    return;
}

# Calls $check until it returns something true, and returns that; undef after $seconds.
sub wait_until ($seconds, $check) {
    my $deadline = time + $seconds * slowness();
    my $rest     = 0.005;
    while (1) {
        my $value = $check->();
        return $value if $value;
        return        if time >= $deadline;
        pause($rest);
        $rest = $rest * 1.5 if $rest < 0.1;
    }
}

# The same, but dies with $what when the time is over.
sub wait_for ($what, $seconds, $check) {
    return wait_until($seconds, $check) // croak "waited $seconds s in vain for $what";
}

1;
