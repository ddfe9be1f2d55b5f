#!/usr/bin/perl
# Makes mail/embedded_catalogues.c of the catalogues, at build time: embed.pl DIRECTORY
# README there describes their form. What is missing in a language, or says other things than in the first, ends the build.
use strict;
use warnings;

my %known = map { $_ => 1 } qw(server url user time detail link year month day hour minute);

sub fail { die "embed.pl: @_\n" }

sub slurp {
    my ($path) = @_;
    open my $file, '<:raw', $path or fail("cannot open '$path': $!");
    local $/ = undef;
    my $text = readline $file;
    close $file or fail("cannot read '$path': $!");
    utf8::decode(my $copy = $text // '') or fail("'$path' is not UTF-8");
    fail("'$path' holds control characters") if !defined $text || $text =~ /[\x00-\x09\x0b-\x1f\x7f]/;
    return $text;
}

sub languages {
    my ($folder) = @_;
    opendir my $dir, $folder or fail("cannot open '$folder': $!");
    my @names = sort grep {/\A[a-z]{2}\z/} readdir $dir;
    closedir $dir;
    fail("no catalogue in '$folder'") if !@names;
    return @names;
}

# The names of the placeholders in a text, sorted.
sub placeholders {
    my ($where, $text) = @_;
    my @names = sort $text =~ /\{([^{}]*)\}/g;
    for (@names) { $known{$_} or fail("$where: unknown placeholder {$_}") }
    (my $rest = $text) =~ s/\{[^{}]*\}//g;
    fail("$where: a brace without its partner") if $rest =~ /[{}]/;
    return "@names";
}

sub block {
    my ($where, $kind, $text) = @_;
    return { kind => $kind, text => $text, holds => placeholders($where, $text) };
}

sub blocks {
    my ($where, $text) = @_;
    my @blocks;
    for my $part (split /\n{2,}/, $text) {
        $part =~ s/\A\n+|\s+\z//g;
        next if $part eq '';
        my @lines = split /\n/, $part;
        my $facts = grep {/\A- \S/} @lines;
        fail("$where: a line of facts begins with '- ' like those around it: $part") if $facts && $facts != @lines;
        push @blocks,
              $facts             ? map { block($where, 'FACT', substr $_, 2) } @lines
            : $part eq '{link}' ? block($where, 'LINK', $part)
            :                     block($where, 'PARAGRAPH', join ' ', @lines);
    }
    fail("$where: {link} stands in a line of its own") if grep { $_->{kind} ne 'LINK' && $_->{text} =~ /\{link\}/ } @blocks;
    fail("$where has no text") if !@blocks;
    return \@blocks;
}

sub catalogue {
    my ($path) = @_;
    my %mails;
    (my $text = slurp($path)) =~ s/^#.*\n//mg;
    my ($before, @parts) = split /^@/m, $text;
    fail("'$path': text before the first mail") if $before =~ /\S/;
    for (@parts) {
        my ($name, $subject, $body) = /\A([a-z_]+)\nSubject:[ ]?([^\n]*)\n(.*)\z/s
            or fail("'$path': a mail begins with '\@name' and 'Subject: …': " . substr $_, 0, 40);
        my $where = "'$path', \@$name";
        fail("$where stands there twice") if $mails{$name};
        $mails{$name} = { subject => block($where, 'SUBJECT', $subject), blocks => blocks($where, $body) };
    }
    return \%mails;
}

# What must be the same in all languages: mails, kinds of blocks, placeholders of subject, of each fact and of all paragraphs. A sentence
# may stand in another paragraph of the same mail.
sub shape {
    my ($mail) = @_;
    my @blocks = @{ $mail->{blocks} };
    my $order  = join ' ', map { $_->{kind} . ($_->{kind} eq 'FACT' ? "($_->{holds})" : '') } @blocks;
    my $words  = join ' ', sort map { split / /, $_->{holds} } @blocks;
    return "subject {$mail->{subject}{holds}}, blocks $order, placeholders {$words}";
}

sub compare {
    my ($first, $other, $catalogues) = @_;
    my ($here, $there) = @$catalogues{ $first, $other };
    for my $name (sort keys %{ { %$here, %$there } }) {
        fail("\@$name is missing in '$first'") if !$here->{$name};
        fail("\@$name is missing in '$other'") if !$there->{$name};
        my ($one, $two) = (shape($here->{$name}), shape($there->{$name}));
        fail("\@$name is not the same mail in '$first' and '$other':\n  $one\n  $two") if $one ne $two;
    }
}

sub literal {
    my ($text) = @_;
    $text =~ s/([\\"])/\\$1/g;
    $text =~ s/\?/\\?/g;    # no trigraphs
    $text =~ s/([^\x20-\x7e])/sprintf '\\%03o', ord $1/ge;
    return qq{"$text"};
}

sub output {
    my ($catalogues) = @_;
    my ($out, $table) = (qq{/* Made by src/mail/catalogues/embed.pl. */\n#include "mail/catalogue.h"\n}, '');
    for my $language (sort keys %$catalogues) {
        for my $name (sort keys %{ $catalogues->{$language} }) {
            my $mail = $catalogues->{$language}{$name};
            $out .= "\nstatic const struct catalogue_block ${language}_${name}[] = {\n";
            $out .= sprintf "    {CATALOGUE_%s, %s},\n", $_->{kind}, literal($_->{text}) for @{ $mail->{blocks} };
            $out .= "    {CATALOGUE_END, \"\"},\n};\n";
            $table .= sprintf "    {\"%s\", \"%s\", %s, %s_%s},\n", $language, $name, literal($mail->{subject}{text}), $language, $name;
        }
    }
    return $out . "\nconst struct catalogue_mail catalogue_mails[] = {\n$table};\n"
        . "const size_t catalogue_mail_count = sizeof(catalogue_mails) / sizeof(*catalogue_mails);\n";
}

fail('usage: embed.pl DIRECTORY') if @ARGV != 1;
my @languages  = languages($ARGV[0]);
my %catalogues = map { $_ => catalogue("$ARGV[0]/$_") } @languages;
compare($languages[0], $_, \%catalogues) for @languages[1 .. $#languages];
binmode STDOUT;
print output(\%catalogues) or fail("cannot write: $!");
close STDOUT or fail("cannot write: $!");
