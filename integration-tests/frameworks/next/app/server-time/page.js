import { Suspense } from 'react';

export const dynamic = 'force-dynamic';

async function Late() {
  await new Promise((resolve) => setTimeout(resolve, 50));
  return <p>late part</p>;
}

export default function Page() {
  return (
    <Suspense fallback={<p>wait for it</p>}>
      <Late />
    </Suspense>
  );
}
