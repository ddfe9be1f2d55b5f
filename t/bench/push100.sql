\set vault random(1, :vaults)
\set op random(1, 9000000000000000)
SELECT auth, user_name, touch, error_code, error_detail, answer
FROM sync_push(
    sha256((:vault)::text::bytea), '',
    string_to_array(replace(
        '@-1,@-2,@-3,@-4,@-5,@-6,@-7,@-8,@-9,@-10,@-11,@-12,@-13,@-14,@-15,@-16,@-17,@-18,@-19,@-20,@-21,@-22,@-23'
        ',@-24,@-25,@-26,@-27,@-28,@-29,@-30,@-31,@-32,@-33,@-34,@-35,@-36,@-37,@-38,@-39,@-40,@-41,@-42,@-43,@-44'
        ',@-45,@-46,@-47,@-48,@-49,@-50,@-51,@-52,@-53,@-54,@-55,@-56,@-57,@-58,@-59,@-60,@-61,@-62,@-63,@-64,@-65'
        ',@-66,@-67,@-68,@-69,@-70,@-71,@-72,@-73,@-74,@-75,@-76,@-77,@-78,@-79,@-80,@-81,@-82,@-83,@-84,@-85,@-86'
        ',@-87,@-88,@-89,@-90,@-91,@-92,@-93,@-94,@-95,@-96,@-97,@-98,@-99,@-100',
        '@', (:op)::bigint::text), ','),
    array_fill('file'::text, '{100}'),
    string_to_array(replace(
        'Notes/@00.md,Notes/@01.md,Notes/@02.md,Notes/@03.md,Notes/@04.md,Notes/@05.md,Notes/@06.md,Notes/@07.md,N'
        'otes/@08.md,Notes/@09.md,Notes/@10.md,Notes/@11.md,Notes/@12.md,Notes/@13.md,Notes/@14.md,Notes/@15.md,No'
        'tes/@16.md,Notes/@17.md,Notes/@18.md,Notes/@19.md,Notes/@20.md,Notes/@21.md,Notes/@22.md,Notes/@23.md,Not'
        'es/@24.md,Notes/@25.md,Notes/@26.md,Notes/@27.md,Notes/@28.md,Notes/@29.md,Notes/@30.md,Notes/@31.md,Note'
        's/@32.md,Notes/@33.md,Notes/@34.md,Notes/@35.md,Notes/@36.md,Notes/@37.md,Notes/@38.md,Notes/@39.md,Notes'
        '/@40.md,Notes/@41.md,Notes/@42.md,Notes/@43.md,Notes/@44.md,Notes/@45.md,Notes/@46.md,Notes/@47.md,Notes/'
        '@48.md,Notes/@49.md,Notes/@50.md,Notes/@51.md,Notes/@52.md,Notes/@53.md,Notes/@54.md,Notes/@55.md,Notes/@'
        '56.md,Notes/@57.md,Notes/@58.md,Notes/@59.md,Notes/@60.md,Notes/@61.md,Notes/@62.md,Notes/@63.md,Notes/@6'
        '4.md,Notes/@65.md,Notes/@66.md,Notes/@67.md,Notes/@68.md,Notes/@69.md,Notes/@70.md,Notes/@71.md,Notes/@72'
        '.md,Notes/@73.md,Notes/@74.md,Notes/@75.md,Notes/@76.md,Notes/@77.md,Notes/@78.md,Notes/@79.md,Notes/@80.'
        'md,Notes/@81.md,Notes/@82.md,Notes/@83.md,Notes/@84.md,Notes/@85.md,Notes/@86.md,Notes/@87.md,Notes/@88.m'
        'd,Notes/@89.md,Notes/@90.md,Notes/@91.md,Notes/@92.md,Notes/@93.md,Notes/@94.md,Notes/@95.md,Notes/@96.md'
        ',Notes/@97.md,Notes/@98.md,Notes/@99.md',
        '@', ((:op)::bigint % 10)::text), ','),
    array_fill('update'::text, '{100}'), array_fill('{"text":"' || repeat('x', 190) || '"}', '{100}'),
    array_fill(1::bigint, '{100}'), array_fill(0::bigint, '{100}'), array_fill('2026-11-22T10:15:00Z'::text, '{100}'),
    '{}', '{}');
