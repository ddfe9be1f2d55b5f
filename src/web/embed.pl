#!/usr/bin/perl
# Makes C of the files that are served as they are, at build time: embed.pl DIRECTORY FILE…
# page.css becomes page_css and page_css_size. The output depends on nothing but the files.
use strict;
use warnings;

sub fail { die "embed.pl: @_\n" }

sub slurp {
    my ($path) = @_;
    open my $file, '<:raw', $path or fail("cannot open '$path': $!");
    local $/ = undef;
    my $bytes = readline $file;
    close $file or fail("cannot read '$path': $!");
    length $bytes or fail("'$path' is empty");
    return $bytes;
}

# A C string literal for each line.
sub literal {
    my ($bytes) = @_;
    my @lines;
    for my $line ($bytes =~ /([^\n]*\n|[^\n]+\z)/g) {
        $line =~ s/([\\"])/\\$1/g;
        $line =~ s/\?/\\?/g;    # no trigraphs
        $line =~ s/\n/\\n/;
        $line =~ s/([^\x20-\x7e])/sprintf '\\%03o', ord $1/ge;
        push @lines, qq{"$line"};
    }
    return join "\n    ", @lines;
}

my ($directory, @files) = @ARGV;
@files or fail('usage: embed.pl DIRECTORY FILE…');
my $out = "/* Made by web/embed.pl from src/web/. */\n#include <stddef.h>\n\n#include \"web/pages.h\"\n";
for my $file (@files) {
    $file =~ /\A[a-z][a-z0-9_]*\.[a-z0-9]+\z/ or fail("'$file': a name is of lower-case letters, digits, _ and one dot");
    my $symbol = $file =~ s/\./_/r;
    $out .= "\nconst char $symbol\[\] =\n    " . literal(slurp("$directory/$file"))
        . ";\nconst size_t ${symbol}_size = sizeof($symbol) - 1;\n";
}
binmode STDOUT;
print $out or fail("cannot write: $!");
close STDOUT or fail("cannot write: $!");
