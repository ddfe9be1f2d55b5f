#!/usr/bin/perl
# make bench: each figure beside its reference, measured by turns in the same run; medians of BENCH_ROUNDS (5) rounds of BENCH_SECONDS (4).
# These machines are noisy: compare ratios. Arguments choose parts: health push pull blobs mail latency memory.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/../lib", $FindBin::Bin;
use Bench::Figures qw(figure table median);
use Bench::Load qw(wrk pgbench prober percentile);
use Bench::Parts;

$| = 1;
my @known = qw(health push pull blobs mail latency memory);
my @wanted = @ARGV ? @ARGV : @known;
for my $part (@wanted) {
    my $code = Bench::Parts->can("part_$part") or die "no part '$part'; there are: @known\n";
    say STDERR "-- $part";
    $code->();
}
print table();
