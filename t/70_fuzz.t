# A short run of each fuzzer from its corpus: every parser of outside bytes. Only where the build has them (configure --enable-fuzzers).
# VERSTAK_TEST_FUZZ_SECONDS (8) for each.
use v5.36;
use FindBin;
use File::Temp ();
use Test::More;

my $build = $ENV{VERSTAK_BUILD} // "$FindBin::Bin/../build";
my @fuzzers = grep { -x && -f } glob "$build/t/fuzz/fuzz_*";
@fuzzers = grep { !/\.\w+\z/ } @fuzzers;
plan skip_all => 'this build has no fuzzers' if !@fuzzers;

my $seconds = $ENV{VERSTAK_TEST_FUZZ_SECONDS} // 8;
for my $fuzzer (@fuzzers) {
    my ($noun)  = $fuzzer =~ /fuzz_(\w+)\z/;
    my $corpus  = "$FindBin::Bin/fuzz/corpus/$noun";
    my $scratch = File::Temp->newdir('vss-fuzz-XXXXXX', TMPDIR => 1);
    mkdir "$scratch/found";
    my @seeds = glob "$corpus/*";
    cmp_ok scalar @seeds, '>', 0, "$noun has a corpus";
    my $output = qx{'$fuzzer' -max_total_time=$seconds -timeout=10 -rss_limit_mb=2048 -artifact_prefix='$scratch/' '$scratch/found' '$corpus' 2>&1};
    my $status = $?;
    is $status, 0, "$noun: no finding in $seconds seconds" or diag substr $output, -4000;
    my ($runs) = $output =~ /^Done (\d+) runs/m;
    cmp_ok $runs // 0, '>', @seeds, "$noun: it ran (" . ($runs // 0) . ' inputs)';
}
done_testing;
