#!/usr/bin/perl
# Makes C of the SQL files, at build time:
#   embed.pl list SQLDIR   db/statements_list.h: enum db_statement, one name for each file of queries/
#   embed.pl code SQLDIR   db/embedded_sql.c: texts of bootstrap.sql, queries/, migrations/ and functions/
# The output depends on nothing but the files. A file that breaks a rule of sql/README ends the build with its name.
use strict;
use warnings;

sub fail { die "embed.pl: @_\n" }

sub slurp {
    my ($path) = @_;
    open my $file, '<:raw', $path or fail("cannot open '$path': $!");
    local $/ = undef;
    my $text = readline $file;
    close $file or fail("cannot read '$path': $!");
    fail("'$path' is empty") if !defined $text || $text !~ /\S/;
    fail("'$path' holds a zero byte") if $text =~ /\0/;
    return $text;
}

# Paths of a folder's *.sql, in the order of their bytes.
sub files {
    my ($folder) = @_;
    opendir my $dir, $folder or fail("cannot open '$folder': $!");
    my @names = sort grep {/\.sql\z/} readdir $dir;
    closedir $dir;
    return map { [ substr($_, 0, -4), "$folder/$_" ] } @names;
}

sub queries {
    my ($sql) = @_;
    my @found;
    for (files("$sql/queries")) {
        my ($name, $path) = @$_;
        $name =~ /\A[a-z][a-z0-9_]{0,62}\z/ or fail("'$path': a query's name is of lower-case letters, digits and _");
        my $text = slurp($path);
        $text =~ s/\A-- lane: (read|work)\n// or fail("'$path': the first line is not '-- lane: read' or '-- lane: work'");
        my $lane = uc $1;
        $text =~ /\A-- \S/ or fail("'$path': the second line is not a comment that says what the statement does");
        # Comment lines at the top are for readers; the server gets what follows them.
        $text =~ s/\A(?:--.*\n|\s*\n)+//;
        $text =~ s/;?\s*\z/\n/;
        fail("'$path' has no statement") if $text !~ /\S/;
        push @found, { name => $name, lane => $lane, text => $text };
    }
    fail("no queries in '$sql/queries'") if !@found;
    return @found;
}

sub migrations {
    my ($sql) = @_;
    my @found;
    for (files("$sql/migrations")) {
        my ($name, $path) = @$_;
        my ($number) = $name =~ /\A([0-9]{4})_[a-z0-9_]+\z/ or fail("'$path': a migration's name is NNNN_name.sql");
        $number == @found + 1 or fail(sprintf "'%s': the next migration is %04d", $path, @found + 1);
        push @found, { name => $name, version => $number + 0, text => slurp($path) };
    }
    fail("no migrations in '$sql/migrations'") if !@found;
    return @found;
}

sub functions {
    my ($sql) = @_;
    return map { { name => $_->[0], version => 0, text => slurp($_->[1]) } } files("$sql/functions");
}

# A C string literal for each line.
sub literal {
    my ($text) = @_;
    my @lines;
    for my $line ($text =~ /([^\n]*\n|[^\n]+\z)/g) {
        $line =~ s/([\\"])/\\$1/g;
        $line =~ s/\?/\\?/g;    # no trigraphs
        $line =~ s/\n/\\n/;
        $line =~ s/\t/\\t/g;
        $line =~ s/([^\x20-\x7e])/sprintf '\\%03o', ord $1/ge;
        push @lines, qq{"$line"};
    }
    return join "\n        ", @lines;
}

sub list {
    my ($sql) = @_;
    print "/* Made by sql/embed.pl from sql/queries/. */\n",
        "#ifndef DB_STATEMENTS_LIST_H\n#define DB_STATEMENTS_LIST_H\n\nenum db_statement {\n";
    print "    STMT_\U$_->{name}\E,\n" for queries($sql);
    print "    STMT_COUNT\n};\n\n#endif\n";
}

sub table {
    my ($name, @files) = @_;
    print "\nconst struct db_sql_file db_${name}_files[] = {\n";
    printf "    {%d, \"%s\",\n        %s},\n", $_->{version}, $_->{name}, literal($_->{text}) for @files;
    print "    {0, NULL, NULL},\n" if !@files;
    print "};\nconst size_t db_${name}_file_count = ", scalar @files, ";\n";
}

sub code {
    my ($sql) = @_;
    print "/* Made by sql/embed.pl from sql/. */\n#include \"db/statements.h\"\n",
        "\nconst struct db_statement_info db_statements[STMT_COUNT] = {\n";
    printf "    [STMT_%s] = {\"%s\",\n        %s,\n        DB_LANE_%s},\n", uc $_->{name}, $_->{name}, literal($_->{text}),
        $_->{lane}
        for queries($sql);
    print "};\n";
    table('migration', migrations($sql));
    table('function',  functions($sql));
    print "\nconst char db_bootstrap_sql[] =\n        ", literal(slurp("$sql/bootstrap.sql")), ";\n";
}

my ($what, $sql) = @ARGV;
my $make = { list => \&list, code => \&code }->{ $what // '' };
fail('usage: embed.pl list|code SQLDIR') if !$make || @ARGV != 2;
# All is checked before the first byte goes out.
my $out = '';
{
    open my $memory, '>', \$out or fail("cannot write to memory: $!");
    my $stdout = select $memory;
    $make->($sql);
    select $stdout;
}
binmode STDOUT;
print $out or fail("cannot write: $!");
close STDOUT or fail("cannot write: $!");
