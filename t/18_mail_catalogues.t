# The texts of e-mails: what is missing or different in one language ends the build, with the file's and the mail's name.
use v5.36;
use FindBin;
use File::Copy qw(copy);
use File::Temp ();
use Test::More;

my $source = "$FindBin::Bin/../src/mail/catalogues";
my $embed  = "$source/embed.pl";

sub slurp ($file) {
    open my $fh, '<:raw', $file or die "cannot read $file: $!\n";
    local $/;
    return scalar <$fh>;
}

# (exit status, standard output, standard error) of embed.pl for catalogues of which one is changed.
sub embed ($language, $change) {
    my $dir = File::Temp->newdir('vss-XXXXXX', TMPDIR => 1);
    copy("$source/$_", "$dir/$_") or die "cannot copy $_: $!\n" for qw(en ru);
    my $text = slurp("$dir/$language");
    local $_ = $text;
    $change->();
    die "the change changes nothing\n" if $change != \&nothing && $_ eq $text;
    open my $fh, '>:raw', "$dir/$language" or die "cannot write: $!\n";
    print {$fh} $_;
    close $fh or die "cannot write: $!\n";
    my $status = system "$^X '$embed' '$dir' >'$dir/out' 2>'$dir/err'";
    return ($status >> 8, slurp("$dir/out"), slurp("$dir/err"));
}

sub nothing { return }

my ($status, $out, $err) = embed('en', \&nothing);
is $status, 0, 'the catalogues are right' or diag $err;
like $out, qr/\{"ru", "reset", /, '… and become a table';

my @changes = (
    ['a mail is missing',              sub { s/^\@reset\n.*?(?=^\@)//ms },         qr/\@reset is missing in 'LANGUAGE'/],
    ['a mail stands there twice',      sub { s/^\@reset$/\@confirm/m },            qr/\@confirm stands there twice/],
    ['an unknown placeholder',         sub { s/\{user\}/{usr}/ },                  qr/unknown placeholder \{usr\}/],
    ['a brace that nobody closes',     sub { s/\{user\}/{user/ },                  qr/'[^']+', \@\w+: /],
    ['a placeholder in a subject',     sub { s/^(Subject: .*)\{server\}/$1/m },    qr/is not the same mail in 'en' and 'ru'/],
    ['a fact is missing',              sub { s/^- .*\{detail\}\n//m },             qr/is not the same mail in 'en' and 'ru'/],
    ['a link is missing',              sub { s/^\{link\}\n\n//m },                 qr/is not the same mail in 'en' and 'ru'/],
    ['a link within a sentence',       sub { s/\n\n\{link\}\n/ {link}\n/ },        qr/\{link\} stands in a line of its own/],
    ['a time is missing',              sub { s/\{time\}// },                       qr/is not the same mail in 'en' and 'ru'/],
    ['a paragraph is missing',         sub { s/(^\@reset\n.*?\{link\}\n\n).*?\n\n/$1/ms }, qr/is not the same mail in 'en' and 'ru'/],
    ['no subject line',                sub { s/^Subject: .+\n//m },                qr/a mail begins with/],
    ['text before the first mail',     sub { s/^\@greeting/text\n\@greeting/m },   qr/text before the first mail/],
    ['broken UTF-8',                   sub { $_ .= "\xff\n" },                     qr/is not UTF-8/],
    ['control characters',             sub { s/\{server\}/{server}\r/ },           qr/holds control characters/],
);
for my $change (@changes) {
    my ($name, $code, $reason) = @$change;
    for my $language (qw(en ru)) {
        ($status, $out, $err) = embed($language, $code);
        isnt $status, 0, "$language: $name: the build ends";
        like $err, qr/\Aembed\.pl: .*${\ ($reason =~ s{LANGUAGE}{$language}r)}/s, '… and says why';
        is $out, '', '… without a table';
    }
}

done_testing;
