# Collects the figures of a bench run and prints them as one table.
package Bench::Figures;
use v5.36;
use parent 'Exporter';
our @EXPORT_OK = qw(figure note table median rounds seconds);

my @rows;

sub rounds ()  { return $ENV{BENCH_ROUNDS}  // 5 }
sub seconds () { return $ENV{BENCH_SECONDS} // 4 }

sub median (@values) {
    my @sorted = sort { $a <=> $b } @values;
    return $sorted[ @sorted / 2 ];
}

# A measured figure: name, ours and the reference's values (one a round each), unit, and what the ratio should reach:
# { least => 0.8 } or { most => 1.2 }. The ratio is the median of the rounds' ratios.
sub figure ($name, $ours, $reference, $unit, %goal) {
    my @ratios = map { $reference->[$_] ? $ours->[$_] / $reference->[$_] : 0 } 0 .. $#$ours;
    my $ratio  = median(@ratios);
    push @rows, [ $name, number(median(@$ours)), number(median(@$reference)), $unit, sprintf('%.2f', $ratio), goal($ratio, %goal) ];
    return say STDERR join '  ', @{ $rows[-1] };
}

# A figure that stands alone.
sub note ($name, $value, $unit, %goal) {
    push @rows, [ $name, number($value), '', $unit, '', goal($value, %goal) ];
    return say STDERR join '  ', @{ $rows[-1] };
}

sub goal ($value, %goal) {
    return sprintf 'at least %s: %s', $goal{least}, $value >= $goal{least} ? 'yes' : 'NO' if defined $goal{least};
    return sprintf 'at most %s: %s',  $goal{most},  $value <= $goal{most}  ? 'yes' : 'NO' if defined $goal{most};
    return '';
}

sub number ($value) {
    return sprintf $value >= 100 ? '%.0f' : $value >= 10 ? '%.1f' : '%.2f', $value;
}

sub table () {
    my @all = ([ 'figure', 'server', 'reference', 'unit', 'ratio', 'goal' ], @rows);
    my @width;
    for my $row (@all) {
        for my $i (0 .. $#$row) {
            $width[$i] = length $row->[$i] if length $row->[$i] > ($width[$i] // 0);
        }
    }
    return join '', map {
        my $row = $_;
        join('  ', map { sprintf(($_ == 0 || $_ > 2 ? '%-' : '%') . "$width[$_]s", $row->[$_]) } 0 .. $#$row) =~ s/\s+\z//r . "\n"
    } @all;
}

1;
