import Link from 'next/link';
import { Counter } from './counter';

export default function Home() {
  return (
    <main>
      <h1>hello from next</h1>
      <Counter />
      <Link href="/say/hello">say hello</Link>
    </main>
  );
}
